package status

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"koboshi/artifacts/durable"
)

// The files of the state directory.
const (
	StateFile  = "state.json"
	ReportFile = "report.json"
)

// ErrDamaged says that a file was read but is not what this package writes:
// torn, garbage, too large, or not a regular file.
var ErrDamaged = errors.New("damaged")

// maxFile bounds what is read of either file, in bytes.
const maxFile = 1 << 20

// read returns the content of a regular file, at most maxFile bytes of it. It
// opens without blocking, because a FIFO would hold the open for ever.
func read(dir *os.Root, name string) ([]byte, error) {
	f, err := dir.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("read %s: %w: not a regular file", name, ErrDamaged)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("read %s: %w: more than %d bytes", name, ErrDamaged, maxFile)
	}
	return data, nil
}

// decode parses one JSON object into v. Unlike plain JSON decoding it refuses
// a bare null, which would leave v as if the file were missing.
func decode(data []byte, v any, options ...json.Options) error {
	if jsontext.Value(data).Kind() != '{' {
		return fmt.Errorf("%w: not a JSON object", ErrDamaged)
	}
	if err := json.Unmarshal(data, v, options...); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil
}

// save replaces a file by v as indented JSON.
func save(dir *os.Root, name string, v any, mode os.FileMode) error {
	data, err := encode(v)
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	return durable.WriteFile(dir, name, data, mode)
}

// encode cleans texts on the way, so that no byte of an error message can make
// it fail.
func encode(v any) ([]byte, error) {
	data, err := json.Marshal(v, json.Deterministic(true), jsontext.WithIndent("  "),
		json.WithMarshalers(json.MarshalToFunc(encodeText)))
	return append(data, '\n'), err
}

func encodeText(e *jsontext.Encoder, text string) error {
	return e.WriteToken(jsontext.String(Clean(text, maxText)))
}

func decodeText(d *jsontext.Decoder, text *string) error {
	token, err := d.ReadToken()
	if err != nil {
		return err
	}
	if token.Kind() != '"' {
		return fmt.Errorf("%s where a string belongs", token.Kind())
	}
	*text = Clean(token.String(), maxText)
	return nil
}
