package control

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"

	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/ec2"
	"koboshi/agent/awstest/faults"
)

const defaultAwait = 30 * time.Second

// await answers ?state= and ?timeout=.
func await(r *http.Request, i *ec2.Instance, want autoscaling.State) error {
	timeout := faults.Duration(defaultAwait)
	if text := r.FormValue("timeout"); text != "" {
		if err := timeout.UnmarshalText([]byte(text)); err != nil {
			return fmt.Errorf("timeout: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(r.Context(), time.Duration(timeout))
	defer cancel()
	return i.Await(ctx, want)
}

// jsonOptions write durations as text, and refuse names that are unknown, occur
// twice or differ in case.
func jsonOptions() json.Options {
	return json.JoinOptions(
		json.RejectUnknownMembers(true),
		json.WithUnmarshalers(json.UnmarshalFunc(func(text []byte, d *time.Duration) error {
			return json.Unmarshal(text, (*faults.Duration)(d))
		})),
		json.WithMarshalers(json.MarshalFunc(func(d time.Duration) ([]byte, error) {
			return json.Marshal(faults.Duration(d))
		})),
	)
}

// readJSON reads the one JSON value that the body must be.
func readJSON[T any](r *http.Request) (v T, err error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return v, fmt.Errorf("reading the body: %w", err)
	}
	return Parse[T](body)
}

// Parse reads one JSON value as the endpoint does.
func Parse[T any](text []byte) (v T, err error) {
	if err := json.Unmarshal(text, &v, jsonOptions()); err != nil {
		return v, fmt.Errorf("reading JSON: %w", err)
	}
	return v, nil
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v, jsonOptions(), json.Deterministic(true))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the client may have gone
}
