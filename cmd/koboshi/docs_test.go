package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"koboshi/agent/config"
	"koboshi/agent/doctor"
	"koboshi/agent/failure"
	"koboshi/artifacts/lint"
	"koboshi/cmd/koboshi/help"
)

// Every command, with its flags in one chapter, is in a topic.
func TestTopicsHaveCommandsAndFlags(t *testing.T) {
	chapters := chaptersOf(help.Topics())
	for path, cmd := range commandsOf(commandTree()) {
		if cmd.HasAvailableSubCommands() {
			continue
		}
		var about []string
		for _, chapter := range chapters {
			if mentions(chapter, path) {
				about = append(about, chapter)
			}
		}
		if len(about) == 0 {
			t.Errorf("no topic has `%s`", path)
		}
		cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
			if f.Name != "help" && !slices.ContainsFunc(about, func(chapter string) bool { return mentions(chapter, "--"+f.Name) }) {
				t.Errorf("no chapter with `%s` has --%s", path, f.Name)
			}
		})
	}
	commandTree().PersistentFlags().VisitAll(func(f *pflag.Flag) {
		if !slices.ContainsFunc(chapters, func(chapter string) bool { return mentions(chapter, "--"+f.Name) }) {
			t.Errorf("no topic has --%s", f.Name)
		}
	})
}

// Every command line of koboshi in the topics is valid.
func TestTopicsShowWhatExists(t *testing.T) {
	root := commandTree()
	known := map[string]bool{}
	for _, cmd := range commandsOf(root) {
		for _, name := range flagsOf(cmd) {
			known[name] = true
		}
	}
	for _, topic := range help.Topics() {
		for _, line := range codeOf(topic.Text) {
			if flag := flagName.FindString(line); flag != "" && flag != ofSSM && !known[flag] {
				t.Errorf("%s: `%s`: no command has %s", topic.Name, line, flag)
			}
			if err := canBeTyped(root, line); err != nil {
				t.Errorf("%s: `%s`: %v", topic.Name, line, err)
			}
		}
	}
}

// canBeTyped checks a command line of koboshi, and accepts any other.
func canBeTyped(root *cobra.Command, line string) error {
	line, _, _ = strings.Cut(line, " #")
	words := strings.Fields(line)
	if len(words) < 2 || words[0] != "koboshi" || words[1] == "COMMAND" || strings.HasPrefix(words[1], "--") {
		return nil
	}
	if words[1] == "help" && len(words) > 2 && strings.ToUpper(words[2]) != words[2] {
		if _, found := help.Find(words[2]); !found {
			return fmt.Errorf("no topic %q", words[2])
		}
		return nil
	}
	cmd, rest, err := root.Find(words[1:])
	if err != nil {
		return err
	}
	quoted := false
	for _, word := range rest {
		if word == "--" { // the rest is another command
			break
		}
		inside := quoted
		if strings.Count(word, `"`)%2 == 1 { // an argument with spaces begins or ends
			quoted = !quoted
		}
		if inside {
			continue
		}
		if flag := flagName.FindString(word); flag != "" && !slices.Contains(flagsOf(cmd), flag) {
			return fmt.Errorf("%s has no %s", cmd.CommandPath(), flag)
		}
	}
	return nil
}

// ofSSM is a flag of the AWS CLI that a topic shows by itself.
const ofSSM = "--parameters"

var flagName = regexp.MustCompile(`^--[a-z][a-z-]*`)

// The newest heading of the changelog is the version that is built.
func TestChangelogIsOfThisVersion(t *testing.T) {
	text, err := os.ReadFile("help/CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	if newest, found := between(string(text), "\n## ", "\n"); !found || newest != version {
		t.Errorf("the changelog begins with %s, this is %s", newest, version)
	}
}

// The configuration that a topic shows is valid, shows the defaults, and every
// key is in it or in that topic's text.
func TestTopicsHaveKeys(t *testing.T) {
	topic, _ := help.Find("configuration")
	block, found := between(topic.Text, "```toml\n", "```\n")
	if !found {
		t.Fatal("no block of TOML")
	}
	shown, err := config.Parse(config.File{Name: "topic", Data: []byte(block)})
	if err != nil {
		t.Fatal(err)
	}
	usual, err := config.Parse(config.File{Name: "least", Data: []byte(least)})
	if err != nil {
		t.Fatal(err)
	}
	shown.Channels, shown.Trust.Floor, shown.Drain.Flush = usual.Channels, usual.Trust.Floor, usual.Drain.Flush // examples
	for i, field := range reflect.VisibleFields(reflect.TypeFor[config.Config]()) {
		if field.IsExported() && !reflect.DeepEqual(reflect.ValueOf(*shown).Field(i).Interface(), reflect.ValueOf(*usual).Field(i).Interface()) {
			t.Errorf("%s: shown %v, default %v", field.Name, reflect.ValueOf(*shown).Field(i), reflect.ValueOf(*usual).Field(i))
		}
	}

	named := keysOf(block)
	keys := map[string]bool{}
	collectKeys(keys, "", reflect.TypeFor[config.Config]())
	tables := map[string]bool{}
	for key := range keys {
		if table, _, inTable := strings.Cut(key, "."); inTable {
			tables[table] = true
		}
	}
	for _, topic := range help.Topics() {
		for _, span := range codeOf(topic.Text) {
			key := dottedKey.FindString(span)
			if table, _, _ := strings.Cut(key, "."); key == "" || !tables[table] {
				continue
			}
			if !keys[key] {
				t.Errorf("%s: `%s`: there is no such key", topic.Name, span)
			}
			if topic.Name == "configuration" {
				named[key] = true
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if !named[key] {
			t.Errorf("no topic has the key %s", key)
		}
	}
}

// least is a configuration with only what is required.
const least = `
	app = "web"
	source = "s3://acme-releases/apps"
	trust.keys = ["/etc/koboshi/keys/release.pub"]
	service.unit = "web.service"
	health.url = "http://127.0.0.1:8080/healthz"`

var (
	dottedKey = regexp.MustCompile(`^[a-z_]+\.[a-z_]+\b`)
	tomlTable = regexp.MustCompile(`^\[([a-z._]+)\]`)
	tomlKey   = regexp.MustCompile(`^([a-z_]+) *=`)
)

// The topic scale-in has an example of each kind of flush, which is valid, and
// every key of one.
func TestTopicHasFlushes(t *testing.T) {
	topic, _ := help.Find("scale-in")
	shown, keys := map[string]bool{}, map[string]bool{}
	for _, block := range blocksOf(topic.Text, "toml") {
		cfg, err := config.Parse(config.File{Name: "least", Data: []byte(least)}, config.File{Name: "scale-in", Data: []byte(block)})
		if err != nil {
			t.Errorf("%v in\n%s", err, block)
			continue
		}
		shown[cfg.Drain.Flush["app"].Kind] = true
		maps.Copy(keys, keysOf(block))
	}
	for _, kind := range config.FlushKinds() {
		if !shown[kind] {
			t.Errorf("no example of kind %q", kind)
		}
	}
	for field := range reflect.TypeFor[config.Flush]().Fields() {
		if key := field.Tag.Get("toml"); !keys["drain.flush.app."+key] && !strings.Contains(topic.Text, "`"+key+"`") {
			t.Errorf("no example has %s", key)
		}
	}
}

// The configurations of the topic node-ids are valid, and have ids.
func TestTopicNodeIDs(t *testing.T) {
	topic, _ := help.Find("node-ids")
	blocks := blocksOf(topic.Text, "toml")
	for _, block := range blocks {
		cfg, err := config.Parse(config.File{Name: "least", Data: []byte(least)}, config.File{Name: "node-ids", Data: []byte(block)})
		if err != nil || !cfg.NodeID.On() {
			t.Errorf("%v in\n%s", err, block)
		}
	}
	if len(blocks) < 3 {
		t.Errorf("%d configurations", len(blocks))
	}
}

// blocksOf are the fenced blocks of a language in a Markdown text.
func blocksOf(text, language string) (blocks []string) {
	for _, rest := range strings.Split(text, "```"+language+"\n")[1:] {
		block, _, _ := strings.Cut(rest, "```\n")
		blocks = append(blocks, block)
	}
	return blocks
}

// keysOf are the dotted keys that a TOML text sets.
func keysOf(toml string) map[string]bool {
	keys, table := map[string]bool{}, ""
	for line := range strings.Lines(toml) {
		if m := tomlTable.FindStringSubmatch(line); m != nil {
			table = m[1] + "."
			keys[strings.TrimSuffix(m[1], ".app")] = true // a table of free names
		}
		if m := tomlKey.FindStringSubmatch(line); m != nil {
			keys[table+m[1]] = true
		}
	}
	return keys
}

func collectKeys(keys map[string]bool, prefix string, of reflect.Type) {
	for _, field := range reflect.VisibleFields(of) {
		name := field.Tag.Get("toml")
		switch {
		case name == "" || name == "-":
		case field.Type.Kind() == reflect.Struct && field.Type != reflect.TypeFor[config.Table](): // a text in a file
			collectKeys(keys, prefix+name+".", field.Type)
		default:
			keys[prefix+name] = true
		}
	}
}

// The table of exit codes has every code with its meaning, and no other.
func TestTopicHasExitCodes(t *testing.T) {
	var want, got []string
	for _, code := range failure.Codes() {
		want = append(want, fmt.Sprintf("%d: %s", code, code))
	}
	for _, row := range rowsOf(t, "oncall", "Exit codes") {
		got = append(got, row[0]+": "+row[1])
	}
	if !slices.Equal(got, want) {
		t.Errorf("the topic has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// The table of checks has those that doctor makes, in its order.
func TestTopicHasChecks(t *testing.T) {
	var got []string
	for _, row := range rowsOf(t, "oncall", "doctor") {
		got = append(got, strings.Trim(row[0], "`"))
	}
	if want := doctor.Names(); !slices.Equal(got, want) {
		t.Errorf("the topic has\n%v\nwant\n%v", got, want)
	}
}

// So has the table of what lint finds.
func TestTopicHasLintChecks(t *testing.T) {
	var got []string
	for _, row := range rowsOf(t, "release", "Checks before anything is stored") {
		got = append(got, strings.Trim(row[0], "`"))
	}
	if want := lint.Names(); !slices.Equal(got, want) {
		t.Errorf("the topic has\n%v\nwant\n%v", got, want)
	}
}

// rowsOf are the rows of the table in a chapter of a topic, without its head.
func rowsOf(t *testing.T, topic, chapter string) (rows [][]string) {
	t.Helper()
	page, _ := help.Find(topic)
	text, found := between(page.Text+"\n## ", "\n## "+chapter+"\n", "\n## ")
	if !found {
		t.Fatalf("%s has no chapter %q", topic, chapter)
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "|") {
			cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			rows = append(rows, cells)
		}
	}
	if len(rows) < 3 {
		t.Fatalf("%s has no table in %q", topic, chapter)
	}
	return rows[2:]
}

func between(s, from, to string) (string, bool) {
	_, s, found := strings.Cut(s, from)
	s, _, end := strings.Cut(s, to)
	return s, found && end
}

func commandTree() *cobra.Command {
	c := &cli{ui: newUI(io.Discard, io.Discard)}
	return c.root()
}

// commandsOf are the commands that help lists, by path, such as "koboshi config
// check".
func commandsOf(cmd *cobra.Command) map[string]*cobra.Command {
	all := map[string]*cobra.Command{}
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			all[sub.CommandPath()] = sub
			maps.Copy(all, commandsOf(sub))
		}
	}
	return all
}

func flagsOf(cmd *cobra.Command) (names []string) {
	cmd.InitDefaultHelpFlag()
	add := func(f *pflag.Flag) { names = append(names, "--"+f.Name) }
	cmd.LocalFlags().VisitAll(add)
	cmd.InheritedFlags().VisitAll(add)
	return names
}

// chaptersOf splits topics at their headings.
func chaptersOf(topics []help.Topic) (chapters []string) {
	for _, topic := range topics {
		chapters = append(chapters, strings.Split(topic.Text, "\n## ")...)
	}
	return chapters
}

// mentions reports whether a text has a name as a whole: --key is not in
// --keys.
func mentions(text, name string) bool {
	return regexp.MustCompile(regexp.QuoteMeta(name) + `($|[^a-z-])`).MatchString(text)
}

var codeSpan = regexp.MustCompile("`([^`]+)`")

// codeOf are the lines of code in a Markdown text, those that end in a backslash
// joined with the next, and its code spans.
func codeOf(text string) (code []string) {
	text = strings.ReplaceAll(text, "\\\n", " ")
	fenced := false
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(line, "```"):
			fenced = !fenced
		case fenced || strings.HasPrefix(line, "    "):
			code = append(code, strings.TrimSpace(line))
		default:
			for _, span := range codeSpan.FindAllStringSubmatch(line, -1) {
				code = append(code, span[1])
			}
		}
	}
	return code
}
