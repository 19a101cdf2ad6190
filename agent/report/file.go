package report

import (
	"errors"
	"fmt"
	"os"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"koboshi/artifacts/durable"
)

// ErrDamaged says that a file was read but is not what this package writes:
// torn, garbage, too large, or not a regular file.
var ErrDamaged = errors.New("damaged")

// maxFile bounds what is read of one file, in bytes.
const maxFile = 1 << 20

func read(dir *os.Root, name string) ([]byte, error) {
	data, err := durable.ReadFile(dir, name, maxFile)
	if errors.Is(err, durable.ErrUnusable) {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return data, err
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

// save replaces a file by v as indented JSON, readable by all.
func save(dir *os.Root, name string, v any) error {
	data, err := encode(v)
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	return durable.WriteFile(dir, name, data, 0o644)
}

// encode cleans every text, so that no byte of an error message can make it
// fail.
func encode(v any) ([]byte, error) {
	data, err := json.Marshal(v, json.Deterministic(true), jsontext.WithIndent("  "),
		json.WithMarshalers(json.MarshalToFunc(encodeText)))
	return append(data, '\n'), err
}

func encodeText(e *jsontext.Encoder, text string) error {
	return e.WriteToken(jsontext.String(Clean(text, MaxText)))
}

func decodeText(d *jsontext.Decoder, text *string) error {
	token, err := d.ReadToken()
	if err != nil {
		return err
	}
	if token.Kind() != '"' {
		return fmt.Errorf("%s where a string belongs", token.Kind())
	}
	*text = Clean(token.String(), MaxText)
	return nil
}
