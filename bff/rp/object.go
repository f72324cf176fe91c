package rp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"
)

// object is a JSON object from outside. Member names compare exactly, where encoding/json would take "ISS" for "iss",
// and a member that is null counts as absent (IDT-25).
type object map[string]json.RawMessage

// parseObject reads a JSON object. Two members of one name are an error: of two readers each could take another one
// for the truth.
func parseObject(data []byte) (object, error) {
	o, err := parseMembers(data)
	return o.withoutNull(), err
}

func (o object) withoutNull() object {
	maps.DeleteFunc(o, func(_ string, v json.RawMessage) bool { return string(v) == "null" })
	return o
}

// parseMembers is parseObject with the members that are null.
func parseMembers(data []byte) (object, error) {
	if !json.Valid(data) {
		return nil, errNotObject
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	if first, err := decoder.Token(); err != nil || first != json.Delim('{') {
		return nil, errNotObject
	}
	o := object{}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, errNotObject
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, errNotObject
		}
		if o.has(name.(string)) {
			return nil, errors.New("a JSON object with two members of one name")
		}
		o[name.(string)] = value
	}
	return o, nil
}

var errNotObject = errors.New("not a JSON object")

func (o object) has(name string) bool {
	_, ok := o[name]
	return ok
}

// read decodes the member into v, which keeps its value when the member is absent. The error names the member and not
// its value.
func (o object) read(name string, v any) error {
	if raw, ok := o[name]; ok && json.Unmarshal(raw, v) != nil {
		return fmt.Errorf("%s has the wrong type", name)
	}
	return nil
}

// text returns a string member, "" when it is absent.
func (o object) text(name string) (string, error) {
	var s string
	err := o.read(name, &s)
	return s, err
}

// maxDate is the end of the year 9999; a NumericDate past it is a mistake and would overflow elsewhere.
const maxDate = 253402300799

// date returns a NumericDate, which may have a fraction (RFC 7519 §2); the zero time when it is absent.
func (o object) date(name string) (time.Time, error) {
	raw, ok := o[name]
	if !ok {
		return time.Time{}, nil
	}
	seconds, err := strconv.ParseFloat(string(raw), 64) // a quoted number does not parse
	if err != nil || seconds < 0 || seconds > maxDate {
		return time.Time{}, fmt.Errorf("%s is no NumericDate", name)
	}
	return time.Unix(int64(seconds), 0).UTC(), nil
}
