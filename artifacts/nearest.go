package artifacts

import "strings"

// Nearest is the one of names that an unknown name probably means: at most three
// edits away with half of it right, or one a prefix of the other. Of several
// that are as near it is the one that begins most like it, then the first.
func Nearest(name string, names []string) (string, bool) {
	best, least := "", maxEdits+1
	for _, n := range names {
		d := Edits(name, n)
		if n != "" && name != "" && (strings.HasPrefix(n, name) || strings.HasPrefix(name, n)) {
			d = min(d, 1)
		}
		nearer := d < least || d == least && begin(name, n) > begin(name, best)
		if nearer && (d <= 1 || 2*d <= max(len(name), len(n))) {
			best, least = n, d
		}
	}
	return best, best != ""
}

// begin is how many bytes two strings have in common at their beginning.
func begin(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

const maxEdits = 3

// Edits is the Levenshtein distance of two short strings, in bytes.
func Edits(a, b string) int {
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
