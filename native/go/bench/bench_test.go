package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	cachelora "github.com/cachelora/cachelora/native/go"
)

func TestTexts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "texts")
	if err := os.WriteFile(path, []byte("how\n\n{\"id\": 1, \"anchor\": \" reset my card \"}\n{\"query\": \"law\"}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	texts, err := readTexts(path)
	if err != nil || !slices.Equal(texts, []string{"how", "reset my card", "law"}) {
		t.Errorf("%q, %v", texts, err)
	}
	for content, want := range map[string]string{
		"":                         "has no question",
		"how\n{\"answer\": \"a\"}": ":2: a key of query, anchor, question, text",
		"{":                        ":1: ",
	} {
		if _, err := parseTexts("file", strings.NewReader(content)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %q was expected", content, err, want)
		}
	}
	if own, err := readTexts(""); err != nil || len(own) < 20 {
		t.Errorf("our own: %d, %v", len(own), err)
	}
}

func TestArgumentsWithoutSenseAreRefused(t *testing.T) {
	for arguments, want := range map[string]string{
		"":                            "one BUNDLE",
		"a b":                         "one BUNDLE",
		"--utilisation 0.5,1 bundle":  "--utilisation",
		"--utilisation , bundle":      "--utilisation",
		"--clock sun bundle":          "--clock",
		"--duration -1s bundle":       "--duration",
		"--goroutines 0 bundle":       "--goroutines",
		"--max-batch 0 bundle":        "--max-batch",
		"--no-such-flag bundle":       "no-such-flag",
		"--duration ten-years bundle": "duration",
	} {
		var stderr bytes.Buffer
		if _, err := parse(strings.Fields(arguments), &stderr); err == nil || !strings.Contains(stderr.String(), want) {
			t.Errorf("%q: %v, %s", arguments, err, stderr.String())
		}
	}
}

func TestABundleThatIsNotThere(t *testing.T) {
	err := run(settings{bundle: filepath.Join(t.TempDir(), "none")}, io.Discard)
	if !errors.Is(err, cachelora.ErrBundleNotFound) && !errors.Is(err, cachelora.ErrUnavailable) {
		t.Error(err)
	}
}
