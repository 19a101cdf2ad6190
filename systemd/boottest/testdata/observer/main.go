// Command observer watches a boot from inside. It waits until no unit changes any
// more, records the state of the machine, and ends it.
//
//	observer FILE VERB LIMIT    VERB is exit or reboot, LIMIT such as 60s
//	observer answer             print what the app answers
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// seen is what the test reads.
type seen struct {
	Settled bool                         // no unit changed any more before the limit
	Jobs    string                       // what was still queued
	Units   map[string]map[string]string // properties by unit
	Answer  string                       // of the app
	Picture string                       // koboshi status --timeline
}

var units = []string{"koboshi-boot.service", "web.service", "cloud-final.service", "multi-user.target"}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "answer" {
		fmt.Print(answer())
		return
	}
	limit, err := time.ParseDuration(os.Args[3])
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	s := await(ctx)
	s.Answer, s.Picture = answer(), picture()
	if err := write(os.Args[1], s); err != nil {
		log.Print(err)
	}
	if out, err := exec.Command("systemctl", "--no-block", os.Args[2]).CombinedOutput(); err != nil {
		log.Fatalf("%v: %s", err, out)
	}
}

func picture() string {
	out, err := exec.Command("koboshi", "status", "--timeline").CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%s (%v)", out, err)
	}
	return string(out)
}

func await(ctx context.Context) seen {
	for {
		s := look()
		if s.Settled || ctx.Err() != nil {
			return s
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// look asks for the jobs first: a unit that has no job then, and does not change
// after, is settled.
func look() seen {
	s := seen{Jobs: systemctl("list-jobs", "--no-legend", "--plain"), Units: properties()}
	boot := s.Units["koboshi-boot.service"]
	switch boot["ActiveState"] + " " + boot["SubState"] {
	case "active exited", "failed failed", "inactive dead":
		s.Settled = s.Jobs == ""
	}
	return s
}

// properties asks for all units at once; the answer has one block per unit.
func properties() map[string]map[string]string {
	found := map[string]map[string]string{}
	text := systemctl(append([]string{"show", "--timestamp=us", "-p", "Id,Description,FragmentPath,ActiveState,SubState,Result,ExecMainStatus," +
		"NRestarts,ExecMainStartTimestamp,ActiveEnterTimestamp"}, units...)...)
	for block := range strings.SplitSeq(text, "\n\n") {
		unit := map[string]string{}
		for line := range strings.Lines(block) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			unit[key] = value
		}
		found[unit["Id"]] = unit
	}
	return found
}

func systemctl(args ...string) string {
	out, err := exec.Command("systemctl", args...).CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%s (%v)", out, err)
	}
	return strings.TrimSpace(string(out))
}

func answer() string {
	client := http.Client{Timeout: 2 * time.Second}
	response, err := client.Get("http://127.0.0.1:8080/")
	if err != nil {
		return "nothing"
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err.Error()
	}
	return string(body)
}

func write(file string, s seen) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o644)
}
