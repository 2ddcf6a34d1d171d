// Package models finds bundles by the names that a router's configuration has for its models.
package models

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Variable is the environment variable that names the directory of bundles. `cachelora pull` writes there
// too: the bundle owner/name as owner--name.
const Variable = "CACHELORA_MODELS"

// manifest is the file that makes a directory a bundle.
const manifest = "cachelora.json"

// NotFoundError says where a bundle was looked for. It is [fs.ErrNotExist] to errors.Is.
type NotFoundError struct {
	// Name is what was asked for.
	Name string
	// Looked are the directories that hold no bundle, in the order of the search.
	Looked []string
	// Directory is the value of CACHELORA_MODELS.
	Directory string
}

// Error lists the places, and says how a bundle comes to one of them.
func (e *NotFoundError) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "no bundle found for %q: no %s in %s", e.Name, manifest, strings.Join(e.Looked, ", "))
	if e.Directory == "" {
		fmt.Fprintf(&text, "; %s is not set: it names a directory of bundles", Variable)
	}
	fmt.Fprintf(&text, "; write a bundle with `cachelora export`, or get one with `cachelora pull`")
	return text.String()
}

// Is reports whether target is [fs.ErrNotExist].
func (e *NotFoundError) Is(target error) bool { return target == fs.ErrNotExist }

// Find returns the directory of the bundle that name means: name itself if it is a bundle's directory, else
// one below CACHELORA_MODELS. For "owner/name" these are owner--name, owner/name and name, so that one
// bundle can stand in for a model whoever its owner is.
func Find(name string) (string, error) {
	return FindIn(os.Getenv(Variable), name)
}

// FindIn is Find with another directory of bundles than that of CACHELORA_MODELS; an empty one is none.
func FindIn(directory, name string) (string, error) {
	if name == "" {
		return "", fmt.Errorf("the name of a model is empty; a bundle's directory or the name of one below %s was expected", Variable)
	}
	places := []string{name}
	// A name from a configuration must not lead out of the directory of bundles.
	if local := filepath.Clean(filepath.FromSlash(name)); directory != "" && filepath.IsLocal(local) && local != "." {
		parts := strings.Split(local, string(filepath.Separator))
		places = append(places, filepath.Join(directory, strings.Join(parts, "--")))
		if len(parts) > 1 {
			places = append(places, filepath.Join(directory, local), filepath.Join(directory, parts[len(parts)-1]))
		}
	} else if directory != "" && filepath.IsAbs(local) && filepath.Base(local) != string(filepath.Separator) {
		// A path inside the router's own image, such as /models/all-MiniLM-L12-v2.
		places = append(places, filepath.Join(directory, filepath.Base(local)))
	}
	for _, place := range places {
		if found, err := os.Stat(filepath.Join(place, manifest)); err == nil && found.Mode().IsRegular() {
			return place, nil
		}
	}
	return "", &NotFoundError{Name: name, Looked: places, Directory: directory}
}
