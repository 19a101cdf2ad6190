// Package picture draws the steps of a report along a line of time: [Text] for
// a terminal, [SVG] for a post-mortem. A [Row] is one bar as data, so that rows
// from elsewhere, such as the machine's own start, can be drawn with them.
package picture
