package help

import (
	"slices"
	"strings"
)

// gap is the space between two columns of a table.
const gap = 2

// table renders the rows at the beginning of lines, and returns how many lines
// they were. The first row is the head, the second the dashes, of which `---:`
// aligns a column to the right.
func (r *renderer) table(lines []string) int {
	n := 0
	for n < len(lines) && strings.HasPrefix(lines[n], "|") {
		n++
	}
	head := cells(lines[0])
	right := make([]bool, len(head))
	var rows [][][]word
	for i, line := range lines[:n] {
		if i == 1 {
			for k, dashes := range cells(line) {
				right[k] = strings.HasSuffix(dashes, ":")
			}
			continue
		}
		row := make([][]word, len(head))
		for k, cell := range cells(line) {
			if i == 0 && cell != "" {
				cell = "**" + cell + "**"
			}
			row[k] = r.words(cell)
		}
		rows = append(rows, row)
	}
	widths, fits := columnWidths(rows, r.width)
	for i, row := range rows {
		switch {
		case fits:
			r.row(row, widths, right)
		case i > 0:
			r.stacked(rows[0], row)
		}
	}
	return n
}

// cells splits a line of a table. A bar within a cell is written `\|`.
func cells(line string) []string {
	const bar = "\x00"
	line = strings.ReplaceAll(strings.Trim(line, " "), `\|`, bar)
	parts := strings.Split(strings.Trim(line, "|"), "|")
	for i, part := range parts {
		parts[i] = strings.ReplaceAll(strings.TrimSpace(part), bar, "|")
	}
	return parts
}

// columnWidths shares the width among the columns: each gets its longest word at
// the least, and the room that remains in proportion to what it could use. It
// reports false where not even the longest words fit.
func columnWidths(rows [][][]word, width int) ([]int, bool) {
	least, most := make([]int, len(rows[0])), make([]int, len(rows[0]))
	for _, row := range rows {
		for k, cell := range row {
			line := -1
			for _, w := range cell {
				least[k] = max(least[k], w.width)
				line += 1 + w.width
			}
			most[k] = max(most[k], line)
		}
	}
	room := width - gap*(len(least)-1) - sum(least)
	wish := sum(most) - sum(least)
	if room < 0 {
		return nil, false
	}
	for k := range least {
		if wish > 0 {
			least[k] += (most[k] - least[k]) * min(room, wish) / wish
		}
	}
	return least, true
}

func sum(numbers []int) (total int) {
	for _, n := range numbers {
		total += n
	}
	return total
}

// row prints the cells of one row beside each other.
func (r *renderer) row(row [][]word, widths []int, right []bool) {
	columns := make([][]string, len(row))
	height := 0
	for k, cell := range row {
		columns[k] = wrap(cell, widths[k])
		height = max(height, len(columns[k]))
	}
	for i := range height {
		var line strings.Builder
		for k, column := range columns {
			text := ""
			if i < len(column) {
				text = column[i]
			}
			pad := strings.Repeat(" ", max(0, widths[k]-visible(text)))
			if right[k] {
				line.WriteString(pad + text)
			} else {
				line.WriteString(text + pad)
			}
			line.WriteString(strings.Repeat(" ", gap))
		}
		r.out.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}

// stacked prints one row of a table that is too wide: the first cell, and below
// it each of the others with its heading.
func (r *renderer) stacked(head, row [][]word) {
	for k, cell := range row {
		indent := ""
		if k > 0 {
			indent = "    "
			if label := slices.Clone(head[k]); len(label) > 0 && len(cell) > 0 {
				label[len(label)-1].text += ":"
				label[len(label)-1].width++
				cell = append(label, cell...)
			}
		}
		if len(cell) > 0 {
			r.out.WriteString(indent + strings.Join(wrap(cell, r.width-len(indent)), "\n"+indent) + "\n")
		}
	}
	r.out.WriteString("\n")
}

// visible is the width of text in columns, without the sequences of styles.
func visible(text string) (width int) {
	escape := false
	for _, c := range text {
		switch {
		case c == '\x1b':
			escape = true
		case escape:
			escape = c != 'm'
		default:
			width++
		}
	}
	return width
}
