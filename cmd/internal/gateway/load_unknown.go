package gateway

import (
	"slices"
	"strings"
)

// unknownKey is the message for a key that does not exist: the nearest one that does, or all of them.
func unknownKey(key string, known []string) string {
	nearest, distance := "", len(key)/2+1
	for _, k := range known {
		if d := editDistance(strings.ToLower(key), k); d < distance {
			nearest, distance = k, d
		}
	}
	if file := key + "_file"; slices.Contains(known, file) { // client_key is a name of client_key_file, not of client_id
		nearest = file
	}
	if nearest != "" {
		return "is not known; did you mean " + nearest + "?"
	}
	return "is not known; remove it or write one of " + strings.Join(known, ", ")
}

// editDistance counts the letters to insert, delete or replace to get from a to b (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
