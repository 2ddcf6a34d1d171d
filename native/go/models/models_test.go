package models

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func bundle(t *testing.T, path ...string) string {
	t.Helper()
	directory := filepath.Join(path...)
	if err := os.MkdirAll(directory, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(directory, manifest), []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	return directory
}

func TestFind(t *testing.T) {
	root := t.TempDir()
	t.Setenv(Variable, filepath.Join(root, "models"))
	own := bundle(t, root, "own")
	pulled := bundle(t, root, "models", "owner--pulled")
	nested := bundle(t, root, "models", "owner", "nested")
	plain := bundle(t, root, "models", "all-MiniLM-L6-v2")
	outside := bundle(t, root, "outside")
	for name, want := range map[string]string{
		own:                                      own,
		"owner/pulled":                           pulled,
		"owner--pulled":                          pulled,
		"owner/nested":                           nested,
		"sentence-transformers/all-MiniLM-L6-v2": plain,
		"all-MiniLM-L6-v2":                       plain,
		"/app/models/all-MiniLM-L6-v2":           plain,
		"./all-MiniLM-L6-v2/":                    plain,
		outside:                                  outside,
	} {
		if found, err := Find(name); err != nil || found != want {
			t.Errorf("%s: %q, want %q; %v", name, found, want, err)
		}
	}
	for _, name := range []string{"", "missing", "../outside", "owner/../../outside", "owner", "/"} {
		if found, err := Find(name); err == nil {
			t.Errorf("%q: %s", name, found)
		}
	}
}

func TestNotFoundSaysWhereItLooked(t *testing.T) {
	t.Setenv(Variable, "/srv/bundles")
	_, err := Find("owner/missing")
	var missing *NotFoundError
	if !errors.As(err, &missing) || !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, part := range []string{`"owner/missing"`, "/srv/bundles/owner--missing", "/srv/bundles/owner/missing", "/srv/bundles/missing", "cachelora pull"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%v: %s is not named", err, part)
		}
	}
	t.Setenv(Variable, "")
	if _, err := Find("owner/missing"); !strings.Contains(err.Error(), Variable) {
		t.Errorf("%v: %s is not named", err, Variable)
	}
}
