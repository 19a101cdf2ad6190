// Command load sends requests to an app without end. For every line that it reads
// it prints the outcome so far, in a line of JSON; it ends with its input.
//
//	load URL [CLIENTS]
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"
)

const (
	clients = 8 // unless the arguments have it; half of them with a connection for each request
	pause   = 5 * time.Millisecond
	limit   = 20 * time.Second // for a request
)

// tally is the outcome of the requests.
type tally struct {
	mu      sync.Mutex
	Asked   int
	Answers map[string]int
	Failed  []string
	Slowest time.Duration
	Broke   time.Time // when the first request that failed had been sent; zero = none has
}

func main() {
	t := &tally{Answers: map[string]int{}}
	count := clients
	if len(os.Args) > 2 {
		var err error
		if count, err = strconv.Atoi(os.Args[2]); err != nil {
			log.Fatal(err)
		}
	}
	for n := range count {
		go t.ask(client(n), os.Args[1]) //nolint:bodyclose // once closes it
	}
	lines, out := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	for lines.Scan() {
		t.mu.Lock()
		err := out.Encode(t)
		t.mu.Unlock()
		if err != nil {
			log.Fatal(err)
		}
	}
}

// client either keeps its connection and sends GET, which Go repeats where the
// server has closed the connection, as every client may (RFC 9110, section
// 9.2.2); or it sends POST, each time on a new connection.
func client(n int) func(ctx context.Context, url string) (*http.Response, error) {
	method, alone := http.MethodGet, n%2 == 1
	if alone {
		method = http.MethodPost
	}
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: alone}}
	return func(ctx context.Context, url string) (*http.Response, error) {
		r, err := http.NewRequestWithContext(ctx, method, url, nil) //nolint:gosec // the argument
		if err != nil {
			return nil, err
		}
		return c.Do(r) //nolint:gosec // as above
	}
}

func (t *tally) ask(do func(context.Context, string) (*http.Response, error), url string) {
	for ; ; <-time.After(pause) {
		began := time.Now()
		answer, err := once(do, url)
		t.note(answer, err, began)
	}
}

func once(do func(context.Context, string) (*http.Response, error), url string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	response, err := do(ctx, url)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, body)
	}
	return string(body), err
}

func (t *tally) note(answer string, err error, began time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.Asked++
	t.Slowest = max(t.Slowest, time.Since(began))
	if err != nil {
		if t.Broke.IsZero() {
			t.Broke = began
		}
		t.Failed = append(t.Failed, err.Error())
		return
	}
	t.Answers[answer]++
}
