//go:build cgo && !nocgo

package conformance

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// consumer is a program that uses the binding as the router's cache does.
const consumer = `package main

import (
	"fmt"
	"os"

	candle_binding "github.com/vllm-project/semantic-router/candle-binding"
)

func main() {
	if err := candle_binding.InitModel("sentence-transformers/all-MiniLM-L6-v2", true); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	vector, err := candle_binding.GetEmbedding("how can i reset my password", 0)
	fmt.Println(len(vector), err)
}
`

func TestTwoLinesOfGoModGiveARouterOurVectors(t *testing.T) {
	source, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	directory := t.TempDir()
	for name, content := range map[string]string{
		"main.go": consumer,
		"go.mod": `module router

go 1.24

require github.com/vllm-project/semantic-router/candle-binding v0.0.0-00010101000000-000000000000

require github.com/cachelora/cachelora/native/go v0.0.0 // indirect

replace github.com/vllm-project/semantic-router/candle-binding => ` + source + `/candlebinding
replace github.com/cachelora/cachelora/native/go => ` + source + `
`,
	} {
		if err := os.WriteFile(filepath.Join(directory, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run := func(name string, arguments ...string) string {
		t.Helper()
		command := exec.Command(name, arguments...)
		command.Dir = directory
		command.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=-mod=mod", "CACHELORA_MODELS="+shelf(t, "all-MiniLM-L6-v2"))
		output, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, output)
		}
		return strings.TrimSpace(string(output))
	}
	run("go", "build", "-o", "router", ".")
	if found := run("./router"); found != "32 <nil>" {
		t.Error(found)
	}
}
