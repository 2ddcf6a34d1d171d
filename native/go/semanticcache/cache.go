// Package semanticcache reads the block semantic_cache of a router's configuration, and gives what a semantic
// cache needs from it: the provider of vectors, and the similarity from which on an answer may be reused.
//
//	semantic_cache:
//	  enabled: true
//	  backend_type: memory
//	  similarity_threshold: 0.85          # without it, the bundle's calibrated threshold
//	  lora_model: acme/support-cache      # or a bundle's directory, or hub:acme/support-cache
//
//	cache, err := semanticcache.Open(ctx, "config.yaml")
//	if errors.Is(err, semanticcache.ErrDisabled) {
//		…
//	}
//	defer cache.Close()
//	vector, err := cache.Provider.Embed(ctx, question)
package semanticcache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	cachelora "github.com/cachelora/cachelora/native/go"
	"github.com/cachelora/cachelora/native/go/models"
	"github.com/cachelora/cachelora/native/go/router"
)

// ErrDisabled is returned for a configuration whose block says enabled: false, or does not say it.
var ErrDisabled = errors.New("semanticcache: the semantic cache is not enabled")

// ErrBase is what errors.Is finds where a bundle has another base model than expected.
var ErrBase = errors.New("the bundle has another base model")

// DefaultMaxFalseHitRate is the budget of the threshold of a configuration without similarity_threshold: the
// share of near misses that may wrongly be served.
const DefaultMaxFalseHitRate = 0.05

// hubPrefix marks an id that may be pulled if it is not there.
const hubPrefix = "hub:"

// Cache is what a semantic cache needs.
type Cache struct {
	Config
	// Provider makes the vectors.
	Provider *router.Provider
	// Threshold is the similarity from which on an answer may be reused.
	Threshold float32
	// Embedder is the bundle; its Threshold has those of single domains.
	Embedder *cachelora.Embedder
	// Directory is where the bundle was found.
	Directory string
}

// Option changes how a configuration is opened.
type Option func(*options)

type options struct {
	base            string
	maxFalseHitRate float64
	router          []router.Option
}

// WithBase sets the base model that the bundle must have. Without it, it is the one that the configuration
// names as bert_model.model_id, if it does. Owners and directories of models are not compared, their names are.
func WithBase(id string) Option {
	return func(o *options) { o.base = id }
}

// WithMaxFalseHitRate sets the budget for the threshold of a configuration without similarity_threshold.
func WithMaxFalseHitRate(rate float64) Option {
	return func(o *options) { o.maxFalseHitRate = rate }
}

// WithRouter passes options on to the Provider.
func WithRouter(opts ...router.Option) Option {
	return func(o *options) { o.router = opts }
}

// Open reads the configuration in the file path and opens its bundle. Mistakes are a [ConfigError]; a block
// that is not enabled is [ErrDisabled], and nothing is opened.
func Open(ctx context.Context, path string, opts ...Option) (*Cache, error) {
	chosen := options{maxFalseHitRate: DefaultMaxFalseHitRate}
	for _, opt := range opts {
		opt(&chosen)
	}
	config, err := Read(path)
	if err != nil {
		return nil, err
	}
	if !config.Enabled {
		return nil, fmt.Errorf("%w: %s", ErrDisabled, path)
	}
	directory, err := config.directory(ctx)
	if err != nil {
		return nil, config.wrong("lora_model", err)
	}
	if err := config.checkBase(directory, chosen.base); err != nil {
		return nil, err
	}
	embedder, err := cachelora.Open(directory)
	if err != nil {
		return nil, config.wrong("lora_model", err)
	}
	threshold := config.SimilarityThreshold
	if threshold == 0 {
		threshold, err = embedder.Threshold("all", chosen.maxFalseHitRate)
		if err != nil {
			embedder.Close()
			return nil, config.wrong("similarity_threshold", fmt.Errorf("this key is missing, and the bundle has none: %w", err))
		}
	}
	return &Cache{
		Config:    *config,
		Provider:  router.New(embedder, chosen.router...),
		Threshold: threshold,
		Embedder:  embedder,
		Directory: directory,
	}, nil
}

// Close waits for what is being computed and frees the model. Closing again does nothing.
func (c *Cache) Close() error {
	return errors.Join(c.Provider.Close(), c.Embedder.Close())
}

// wrong is a mistake in the value of one of the block's keys that err tells of.
func (c *Config) wrong(key string, err error) *ConfigError {
	mistake := c.mistake(block+"."+key, err.Error())
	mistake.Err = err
	return mistake
}

// directory returns the bundle's directory. A name is looked for in the working directory, as routers look for
// their models, beside the configuration, and below CACHELORA_MODELS.
func (c *Config) directory(ctx context.Context) (string, error) {
	name, fromHub := strings.CutPrefix(c.LoRAModel, hubPrefix)
	id, revision, _ := strings.Cut(name, "@")
	if fromHub && revision != "" {
		// The directory does not say of which revision it is; pull compares, and needs no hub if nothing changed.
		return pull(ctx, name)
	}
	beside := ""
	if !fromHub {
		id = name
		if !filepath.IsAbs(name) {
			beside = filepath.Join(filepath.Dir(c.file), name)
		}
	}
	for _, place := range []string{name, beside} {
		if found, err := os.Stat(filepath.Join(place, "adapter_config.json")); place != "" && err == nil && !found.IsDir() {
			return "", fmt.Errorf("%s is an adapter; a bundle was expected, which `cachelora export` makes of an adapter and its base", place)
		}
	}
	found, err := models.Find(id)
	if err == nil {
		return found, nil
	}
	if beside != "" {
		if found, besideErr := models.FindIn("", beside); besideErr == nil {
			return found, nil
		}
	}
	if fromHub {
		return pull(ctx, name)
	}
	return "", err
}

// pull brings a bundle from the hub with the command of that name, and returns its directory.
func pull(ctx context.Context, name string) (string, error) {
	if os.Getenv(models.Variable) == "" {
		return "", fmt.Errorf("%s can't be pulled: %s is not set; it names the directory that receives bundles", name, models.Variable)
	}
	command := exec.CommandContext(ctx, "cachelora", "pull", "--kind", "bundle", "--", name)
	if output, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("`cachelora pull %s` failed: %w\n%s", name, err, strings.TrimSpace(string(output)))
	}
	id, _, _ := strings.Cut(name, "@")
	return models.Find(id)
}

// checkBase compares the bundle's base model with the one that is expected.
func (c *Config) checkBase(directory, expected string) error {
	origin := "the program expects"
	if expected == "" {
		if expected = c.Base; expected == "" {
			return nil
		}
		origin = fmt.Sprintf("bert_model.model_id in line %d says", c.lines["bert_model.model_id"])
	}
	content, err := os.ReadFile(filepath.Join(directory, "cachelora.json"))
	if err != nil {
		return c.wrong("lora_model", err)
	}
	var manifest struct {
		BaseModel struct {
			ID string `json:"id"`
		} `json:"base_model"`
	}
	if err := json.Unmarshal(content, &manifest); err != nil {
		return c.wrong("lora_model", fmt.Errorf("%s: %w", filepath.Join(directory, "cachelora.json"), err))
	}
	if !strings.EqualFold(lastPart(manifest.BaseModel.ID), lastPart(expected)) {
		return c.wrong("lora_model", fmt.Errorf("%w: %s was made of %q, %s %q", ErrBase, directory, manifest.BaseModel.ID, origin, expected))
	}
	return nil
}

func lastPart(id string) string { return path.Base(filepath.ToSlash(id)) }
