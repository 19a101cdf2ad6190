package picture

import (
	"math"
	"strings"
)

// bar fills a column of width cells from one eighth of a cell to another.
// Right edges are fine to the eighth; left edges to half a cell, for want of
// finer characters. Whatever lasted at all shows at least a sliver.
func (g Glyphs) bar(width int, from, to float64, tick bool) string {
	begin, end := int(math.Round(from)), int(math.Round(to))
	cell := min(begin/8, width-1)
	var text string
	switch {
	case tick && g == ASCII:
		text = "|"
	case tick:
		text = "│"
	case g == ASCII:
		text = strings.Repeat("#", max((end+4)/8-cell, 1))
	default:
		text = blocks(begin-8*cell, end-8*cell)
	}
	return pad(strings.Repeat(" ", cell)+text, width)
}

// blocks draws from one eighth to another, begin being in the first cell.
func blocks(begin, end int) string {
	length := max(end-begin, 1)
	switch {
	case end > 8 && begin >= 4:
		return "▐" + eighths(end-8)
	case end > 8:
		return eighths(end)
	case begin < 4:
		return eighths(length)
	case length <= 2:
		return "▕"
	default:
		return "▐"
	}
}

func eighths(n int) string {
	partial := [8]string{"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"}
	return strings.Repeat("█", n/8) + partial[n%8]
}
