package flush

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"
)

// fluentBitMakes is in what time Fluent Bit has made the numbers anew that it
// answers with: it does so every 5 s.
const fluentBitMakes = 6 * time.Second

// fluentBit asks Fluent Bit's HTTP server. A chunk is there until the other side
// has accepted it, but also until its retries are used up: then it is counted as
// dropped.
type fluentBit struct {
	url string
	get getter
}

func (f *fluentBit) look(ctx context.Context, _ []*file) (sight, error) {
	base := strings.TrimSuffix(f.url, "/")
	storage, err := f.get(ctx, base+"/api/v1/storage")
	if err != nil {
		return sight{}, err
	}
	chunks, err := parseChunks(storage)
	if err != nil {
		return sight{}, err
	}
	body, err := f.get(ctx, base+"/api/v1/metrics")
	if err != nil {
		return sight{}, err
	}
	s, err := parseFluentBit(body)
	if err != nil {
		return sight{}, err
	}
	s.left, s.unit = chunks, Chunks
	return s, nil
}

// parseChunks returns how many chunks wait.
func parseChunks(data []byte) (int64, error) {
	var storage struct {
		Layer struct {
			Chunks struct {
				Total *int64 `json:"total_chunks"`
			} `json:"chunks"`
		} `json:"storage_layer"`
	}
	if err := json.Unmarshal(data, &storage); err != nil {
		return 0, errors.New("api/v1/storage: no JSON")
	}
	if n := storage.Layer.Chunks.Total; n != nil && *n >= 0 {
		return *n, nil
	}
	return 0, errors.New("api/v1/storage: no total_chunks: set storage.metrics on")
}

// parseFluentBit reads the records of the inputs and the errors of the outputs.
func parseFluentBit(data []byte) (s sight, err error) {
	var all struct {
		Input map[string]struct {
			Records *int64 `json:"records"`
		} `json:"input"`
		Output map[string]struct {
			Errors  int64 `json:"errors"`
			Failed  int64 `json:"retries_failed"`
			Dropped int64 `json:"dropped_records"`
		} `json:"output"`
	}
	if err := json.Unmarshal(data, &all); err != nil {
		return s, errors.New("api/v1/metrics: no JSON")
	}
	if len(all.Input) == 0 || len(all.Output) == 0 {
		return s, errors.New("api/v1/metrics: no input and output")
	}
	for _, name := range slices.Sorted(maps.Keys(all.Input)) {
		records := all.Input[name].Records
		if records == nil {
			return s, errors.New("api/v1/metrics: an input without records")
		}
		s.inputs = append(s.inputs, *records)
	}
	s.growing = slices.Clone(s.inputs)
	for _, out := range all.Output {
		s.failed[0] += out.Dropped
		s.failed[1] += out.Errors + out.Failed
	}
	return s, nil
}
