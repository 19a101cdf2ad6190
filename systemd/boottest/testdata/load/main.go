// Command load sends requests to an app without end. For every line that it reads
// it prints the outcome so far, in a line of JSON; it ends with its input.
//
//	load URL
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
	"sync"
	"time"
)

const (
	clients = 8 // half of them with a connection for each request
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
}

func main() {
	t := &tally{Answers: map[string]int{}}
	for n := range clients {
		go t.ask(client(n), os.Args[1])
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
		r, err := http.NewRequestWithContext(ctx, method, url, nil)
		if err != nil {
			return nil, err
		}
		return c.Do(r)
	}
}

func (t *tally) ask(do func(context.Context, string) (*http.Response, error), url string) {
	for ; ; <-time.After(pause) {
		began := time.Now()
		answer, err := once(do, url)
		t.note(answer, err, time.Since(began))
	}
}

func once(do func(context.Context, string) (*http.Response, error), url string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	response, err := do(ctx, url)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, body)
	}
	return string(body), err
}

func (t *tally) note(answer string, err error, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.Asked++
	t.Slowest = max(t.Slowest, took)
	if err != nil {
		t.Failed = append(t.Failed, err.Error())
		return
	}
	t.Answers[answer]++
}
