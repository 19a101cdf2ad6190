package tree

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

var someIndex = []Entry{
	{Path: "bin", Type: TypeDir, Mode: 0o755},
	{Path: "bin/größe \x01\\", Type: TypeFile, Mode: 0o755, Size: 3, SHA256: sumOf([]byte("abc")), Offset: 1536},
	{Path: "bin/empty", Type: TypeFile, Mode: 0o444},
	{Path: "again", Type: TypeHardlink, Link: "bin/empty"},
	{Path: "link", Type: TypeSymlink, Link: "./bin/../bin//empty"},
}

func TestIndex(t *testing.T) {
	var first, second bytes.Buffer
	must(t, WriteIndex(&first, someIndex))
	must(t, WriteIndex(&second, someIndex))
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("the same index gives other bytes")
	}
	if got, err := ReadIndex(t.Context(), first.Bytes(), len(someIndex)); err != nil || !slices.Equal(got, someIndex) {
		t.Errorf("read %+v %v", got, err)
	}
	if _, err := ReadIndex(t.Context(), second.Bytes(), len(someIndex)-1); !errors.Is(err, ErrRefused) {
		t.Errorf("one entry too many: %v", err)
	}
	if err := WriteIndex(full{}, someIndex); !errors.Is(err, errFetch) {
		t.Errorf("a writer that fails: %v", err)
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFetch }

// The format is a contract: other programs read it.
func TestIndexFormat(t *testing.T) {
	var b bytes.Buffer
	must(t, WriteIndex(&b, someIndex))
	plain := inflate(t, b.Bytes())
	want := `{"path":"bin","type":"dir","mode":493}
{"path":"bin/größe \u0001\\","type":"file","mode":493,"size":3,"sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","offset":1536}
{"path":"bin/empty","type":"file","mode":292}
{"path":"again","type":"hardlink","link":"bin/empty"}
{"path":"link","type":"symlink","link":"./bin/../bin//empty"}
`
	if string(plain) != want {
		t.Errorf("wrote\n%swant\n%s", plain, want)
	}
}

func TestIndexRefused(t *testing.T) {
	file := func(fields string) string { return `{"path":"f","type":"file","mode":420` + fields + "}\n" }
	for name, lines := range map[string]string{
		"no JSON":                "path\n",
		"an empty line":          file("") + "\n" + `{"path":"g","type":"dir","mode":493}`,
		"two on a line":          strings.TrimSpace(file("")) + `{"path":"g","type":"dir","mode":493}`,
		"unknown key":            file(`,"uid":0`),
		"repeated key":           file(`,"mode":420`),
		"key in capitals":        file(`,"Size":1`),
		"not UTF-8":              file(`,"link":"` + "\xff" + `"`),
		"unknown type":           `{"path":"f","type":"fifo"}`,
		"no type":                `{"path":"f"}`,
		"no path":                `{"type":"dir","mode":493}`,
		"the top":                `{"path":".","type":"dir","mode":493}`,
		"absolute path":          `{"path":"/f","type":"dir","mode":493}`,
		"path out":               `{"path":"../f","type":"dir","mode":493}`,
		"path that is not clean": `{"path":"./f","type":"dir","mode":493}`,
		"NUL in a path":          `{"path":"a\u0000b","type":"dir","mode":493}`,
		"NUL in a link":          `{"path":"l","type":"symlink","link":"a\u0000b"}`,
		"other mode of a dir":    `{"path":"d","type":"dir","mode":511}`,
		"setuid":                 `{"path":"f","type":"file","mode":2541}`,
		"mode of an irregular":   `{"path":"f","type":"file","mode":2147484013}`,
		"unreadable":             `{"path":"f","type":"file"}`,
		"negative size":          file(`,"size":-1`),
		"negative offset":        file(`,"offset":-1`),
		"size with a fraction":   file(`,"size":1.5`),
		"size as text":           file(`,"size":"1"`),
		"short hash":             file(`,"sha256":"ba78"`),
		"hash in capitals":       file(`,"sha256":"` + strings.ToUpper(sumOf(nil)) + `"`),
		"hash of other letters":  file(`,"sha256":"` + strings.Repeat("z", 64) + `"`),
		"file with a link":       file(`,"link":"x"`),
		"dir with a size":        `{"path":"d","type":"dir","mode":493,"size":1}`,
		"link with a mode":       `{"path":"l","type":"symlink","mode":511,"link":"x"}`,
		"link out":               `{"path":"l","type":"symlink","link":"../x"}`,
		"absolute link":          `{"path":"l","type":"symlink","link":"/x"}`,
		"link without target":    `{"path":"l","type":"symlink"}`,
		"hard link to nothing":   `{"path":"l","type":"hardlink","link":"x"}`,
		"hard link not clean":    file("") + `{"path":"l","type":"hardlink","link":"./f"}`,
		"twice":                  file("") + file(""),
		"child first":            `{"path":"d/f","type":"file","mode":420}` + "\n" + `{"path":"d","type":"dir","mode":493}`,
		"below a file":           file("") + `{"path":"f/g","type":"file","mode":420}`,
		"a line too long":        file(strings.Repeat(" ", maxLine)),
	} {
		if got, err := ReadIndex(t.Context(), zstdFrame(t, []byte(lines)), 10); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %+v %v", name, got, err)
		}
	}
}

func TestIndexIsCut(t *testing.T) {
	var b bytes.Buffer
	must(t, WriteIndex(&b, someIndex))
	for cut := range b.Len() {
		if _, err := ReadIndex(t.Context(), b.Bytes()[:cut], 10); cut > 0 && !errors.Is(err, ErrRefused) {
			t.Errorf("ends at %d: %v", cut, err)
		}
	}
}

// A bomb ends at the line that is too long or at the entry that is too much:
// these would take minutes to decode.
func TestIndexBombs(t *testing.T) {
	var lines strings.Builder
	for i := range 100 {
		fmt.Fprintf(&lines, `{"path":"f%d","type":"dir","mode":493}`+"\n", i)
	}
	for name, unit := range map[string]string{
		"one line": strings.Repeat(" ", 1<<20),
		"entries":  lines.String(),
	} {
		bomb := bytes.Repeat(zstdFrame(t, []byte(unit)), 1<<16)
		if _, err := ReadIndex(t.Context(), bomb, 50); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What is read can be written, and is then the same.
func FuzzReadIndex(f *testing.F) {
	var good bytes.Buffer
	must(f, WriteIndex(&good, someIndex))
	f.Add(inflate(f, good.Bytes()))
	f.Add([]byte(`{"path":"f","type":"file","mode":420}`))
	f.Fuzz(func(t *testing.T, lines []byte) {
		index, err := ReadIndex(t.Context(), zstdFrame(t, lines), 100)
		if err != nil {
			if !errors.Is(err, ErrRefused) {
				t.Errorf("neither read nor refused: %v", err)
			}
			return
		}
		var written bytes.Buffer
		must(t, WriteIndex(&written, index))
		if again, err := ReadIndex(t.Context(), written.Bytes(), 100); err != nil || !slices.Equal(index, again) {
			t.Errorf("read %+v\nagain %+v %v", index, again, err)
		}
	})
}

// A file that its owner may change at any time counts as altered.
func TestVerifyLooksAtOwners(t *testing.T) {
	dir, err := os.OpenRoot(t.TempDir())
	must(t, err)
	defer func() { must(t, dir.Close()) }()
	must(t, dir.Mkdir("bin", 0o755))
	must(t, dir.Chmod("bin", 0o755))
	me, err := OwnerOf(dir)
	must(t, err)
	entries := []Entry{{Path: "bin", Type: TypeDir, Mode: 0o755}}
	for owner, clean := range map[int]bool{me: true, me + 1: false, AnyOwner: true} {
		diff, err := Verify(t.Context(), dir, owner, entries)
		if err != nil || diff.Clean() != clean || !clean && !slices.Equal(diff.Altered, []string{".", "bin"}) {
			t.Errorf("owner %d: %+v, %v", owner, diff, err)
		}
	}
}
