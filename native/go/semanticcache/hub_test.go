//go:build cgo && !nocgo

package semanticcache

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// serveHub starts the tests' model hub with our bundle as acme/support-cache, tagged v1, and points the hub's client to it.
func serveHub(t *testing.T) {
	t.Helper()
	const program = `
import pathlib, sys
from hub_server import serve
bundle = pathlib.Path(sys.argv[1])
files = {str(path.relative_to(bundle)): path.read_bytes() for path in bundle.rglob("*") if path.is_file()}
with serve() as hub:
    hub.add("acme/support-cache", files)
    hub.add("acme/support-cache", files, branch="v1")
    hub.add("acme/adapter", {"adapter_config.json": b"{}", "adapter_model.safetensors": b""})
    print(hub.url, flush=True)
    sys.stdin.read()
`
	tests, err := filepath.Abs("../../../tests")
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command("python", "-c", program, tinyBundle(t))
	command.Env = append(os.Environ(), "PYTHONPATH="+tests)
	command.Stderr = os.Stderr
	input, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatalf("%v; `make test-go` has the environment with Python and the command cachelora", err)
	}
	t.Cleanup(func() {
		input.Close()
		_ = command.Wait()
	})
	url, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("HF_ENDPOINT", strings.TrimSpace(url))
	t.Setenv("HF_HUB_OFFLINE", "0")
	t.Setenv("HF_HOME", t.TempDir())
}

func TestABundleComesFromTheHub(t *testing.T) {
	serveHub(t)
	for name, id := range map[string]string{
		"hub:acme/support-cache": "acme--support-cache", "hub:acme/support-cache@v1": "acme--support-cache",
	} {
		shelf := t.TempDir()
		t.Setenv("CACHELORA_MODELS", shelf)
		path := write(t, "semantic_cache:\n  enabled: true\n  lora_model: \""+name+"\"\n")
		// The second time the bundle is there.
		for range 2 {
			cache, err := Open(context.Background(), path)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if cache.Directory != filepath.Join(shelf, id) {
				t.Errorf("%s: %s", name, cache.Directory)
			}
			if vector, err := cache.Provider.Embed(context.Background(), "how"); err != nil || len(vector) != cache.Provider.Dimension() {
				t.Errorf("%s: %v, %v", name, vector, err)
			}
			cache.Close()
		}
	}
}

func TestWhatTheHubDoesNotHaveIsSaid(t *testing.T) {
	serveHub(t)
	t.Setenv("CACHELORA_MODELS", t.TempDir())
	for name, parts := range map[string][]string{
		"hub:acme/nothing":          {"acme/nothing", "cachelora pull"},
		"hub:acme/support-cache@v9": {"acme/support-cache@v9", "no such revision"},
		"hub:acme/adapter":          {"acme/adapter", "bundle"},
		"hub:../../etc":             {"../../etc"},
		"hub:":                      {"the form owner/name"},
		"hub:@v1":                   {"the form owner/name"},
	} {
		_, err := Open(context.Background(), write(t, "semantic_cache:\n  enabled: true\n  lora_model: \""+name+"\"\n"))
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		for _, part := range append(parts, "config.yaml:3: semantic_cache.lora_model: ") {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%v: %q is not said", err, part)
			}
		}
		t.Log(err)
	}
}
