//go:build e2e

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"koboshi/cmd/koboshi/help"
)

// TestE2ENodeIDsOnALaptop types what the topic node-ids has for a laptop: two instances get
// ids, one of them dies, and a third takes its id above the mark. That takes as long as
// the shortest lease, five minutes.
func TestE2ENodeIDsOnALaptop(t *testing.T) {
	t.Parallel()
	topic, _ := help.Find("node-ids")
	bin, dir := t.TempDir(), t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", bin+"/", ".", "../koboshi-mock")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, output)
	}
	lines := []string{"set -e", "trap 'kill $one $two $three $mock 2>/dev/null' EXIT"}
	typed := exec.CommandContext(t.Context(), "bash", "-c", strings.Join(append(lines, blocksOf(topic.Text, "sh")...), "\n"))
	typed.Dir, typed.Env = dir, append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
	output, err := typed.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	dead, two, three := told(t, dir, "dead.json"), told(t, dir, "two/run/node-id.json"), told(t, dir, "three/run/node-id.json")
	if dead.NodeID == two.NodeID || dead.Gen != 1 || two.Gen != 1 {
		t.Errorf("two instances got %+v and %+v", dead, two)
	}
	if three.NodeID != dead.NodeID || three.Gen != 2 || three.NotBefore < dead.ValidUntil || three.ValidUntil <= three.NotBefore {
		t.Errorf("the third got %+v after %+v\n%s", three, dead, output)
	}
}

// The example in Go of the topic node-ids keeps the bounds of its file.
func TestE2ENodeIDsInGo(t *testing.T) {
	t.Parallel()
	topic, _ := help.Find("node-ids")
	dir := t.TempDir()
	const program = "package main\n\nimport (\n\t\"encoding/json\"\n\t\"errors\"\n\t\"fmt\"\n\t\"os\"\n\t\"time\"\n)\n\n" +
		"func main() {\n\tn := &Node{}\n\tt, err := n.Millis()\n\tfmt.Println(t > 0, n.ID, err)\n}\n\n"
	must(t, os.WriteFile(filepath.Join(dir, "main.go"), []byte(program+blocksOf(topic.Text, "go")[0]), 0o644))
	build := exec.CommandContext(t.Context(), "go", "build", "-o", "example", "main.go")
	build.Dir = dir
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, output)
	}
	now := time.Now().UnixMilli()
	for _, tt := range []struct {
		name, file, want string
	}{
		{"inside", fmt.Sprintf(`{"node_id":7,"gen":1,"not_before_ms":%d,"valid_until_ms":%d}`, now-1, now+3_600_000), "true 7 <nil>"},
		{"too early", fmt.Sprintf(`{"node_id":7,"gen":1,"not_before_ms":%d,"valid_until_ms":%d}`, now+3_600_000, now+7_200_000), "false 7 no node id now"},
		{"too late", fmt.Sprintf(`{"node_id":7,"gen":1,"not_before_ms":%d,"valid_until_ms":%d}`, now-7_200_000, now-1), "false 7 no node id now"},
		{"half a file", `{"node_id":7,`, "false 0 unexpected end of JSON input"},
	} {
		must(t, os.WriteFile(filepath.Join(dir, "node-id.json"), []byte(tt.file), 0o644))
		example := exec.CommandContext(t.Context(), filepath.Join(dir, "example"))
		example.Env = []string{"KOBOSHI_NODE_FILE=" + filepath.Join(dir, "node-id.json")}
		output, err := example.Output()
		if got := strings.TrimSpace(string(output)); err != nil || got != tt.want {
			t.Errorf("%s: %q, %v, want %q", tt.name, got, err, tt.want)
		}
	}
}

// node is what an app reads of its node id.
type node struct {
	NodeID     int   `json:"node_id"`
	Gen        int64 `json:"gen"`
	NotBefore  int64 `json:"not_before_ms"`
	ValidUntil int64 `json:"valid_until_ms"`
}

func told(t *testing.T, dir, name string) (n node) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &n); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}
