package rp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// detailTypes returns the type of each object of an authorization_details array (RFC 9396 §2). Nothing at all has no
// types. The error repeats nothing of the input.
func detailTypes(details json.RawMessage) ([]string, error) {
	if len(details) == 0 {
		return nil, nil
	}
	var list []json.RawMessage
	if err := json.Unmarshal(details, &list); err != nil || list == nil {
		return nil, errors.New("authorization_details must be a JSON array of objects")
	}
	types := make([]string, len(list))
	for i, raw := range list {
		detail, err := parseObject(raw)
		if err != nil {
			return nil, errors.New("authorization_details must be a JSON array of objects")
		}
		if types[i], err = detail.text("type"); err != nil || types[i] == "" {
			return nil, errors.New("each object of authorization_details must have a type")
		}
	}
	return types, nil
}

// checkDetails compares what was granted, by type, with what may be granted (EXT-09). Less is the OP's right (RFC 9396
// §7.1), and logged; a type of its own invention means that the grant is not the one that was asked for.
func (c *Client) checkDetails(ctx context.Context, granted, allowed json.RawMessage) error {
	got, err := detailTypes(granted)
	if err != nil {
		return fmt.Errorf("%w: %w (EXT-09)", ErrMismatch, err)
	}
	want, _ := detailTypes(allowed) // read before, as configuration or as a grant
	if len(without(got, want)) > 0 {
		return fmt.Errorf("%w: authorization_details of a type that was not asked for (EXT-09)", ErrMismatch)
	}
	if less := without(want, got); len(less) > 0 {
		c.log.WarnContext(ctx, "the OP did not grant all authorization_details", "missing_types", less)
	}
	return nil
}

// without returns what is in list and not in other.
func without(list, other []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(other, s) })
}
