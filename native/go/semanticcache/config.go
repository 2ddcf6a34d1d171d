package semanticcache

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// block is the key of the configuration's part that is read here.
const block = "semantic_cache"

// Backends are the values that backend_type may have: the stores that a router has for answers. Which one it
// is changes nothing for the vectors.
var Backends = []string{"memory", "redis", "valkey", "milvus", "qdrant", "hybrid"}

// ours are the keys of the block that are read, others those that routers have and that are left alone.
var (
	ours   = []string{"enabled", "backend_type", "similarity_threshold", "lora_model"}
	others = []string{
		"max_entries", "ttl_seconds", "eviction_policy", "embedding_model", "backend_config_path", "use_hnsw", "hnsw_m",
		"hnsw_ef_construction", "redis", "valkey", "milvus", "qdrant",
	}
)

// ConfigError is one mistake in a configuration.
type ConfigError struct {
	// File and Line are where it is; Line counts from 1.
	File string
	Line int
	// Key is the key in question, with those above it: "semantic_cache.enabled".
	Key string
	// Problem is what was found and what was expected.
	Problem string
	// Err is the error behind it, if there is one.
	Err error
}

// Error says where the mistake is, what was found and what was expected.
func (e *ConfigError) Error() string {
	return fmt.Sprintf("%s:%d: %s: %s", e.File, e.Line, e.Key, e.Problem)
}

// Unwrap returns the error behind it.
func (e *ConfigError) Unwrap() error { return e.Err }

// Config is the block semantic_cache of a router's configuration.
type Config struct {
	// Enabled is whether answers are cached.
	Enabled bool
	// BackendType is where answers are kept, one of [Backends]; "memory" if the block does not say.
	BackendType string
	// SimilarityThreshold is the similarity from which on an answer is reused, from 0 to 1; 0 if the block
	// does not say.
	SimilarityThreshold float32
	// LoRAModel is the bundle: its directory, the id of one that was pulled, or "hub:" and an id.
	LoRAModel string
	// Base is the model that the configuration's bert_model.model_id names; empty if it names none.
	Base string

	file  string
	lines map[string]int
}

// Read reads the configuration in the file path. It fails with a [ConfigError] for the first mistake.
func Read(path string) (*Config, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parse(path, content)
}

func parse(file string, content []byte) (*Config, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(content, &document); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	c := &Config{BackendType: "memory", file: file, lines: map[string]int{}}
	if len(document.Content) == 0 {
		return nil, c.mistake(block, "the file is empty; this key was expected")
	}
	root := resolve(document.Content[0])
	if root.Kind != yaml.MappingNode {
		return nil, c.mistake(block, "the file has no keys; this key was expected")
	}
	if err := c.onceEach(root, "", "bert_model", block); err != nil {
		return nil, err
	}
	if err := c.readBase(find(root, "bert_model")); err != nil {
		return nil, err
	}
	key, value := entry(root, block)
	if key == nil {
		return nil, c.mistake(block, "this key is missing; a block with the keys "+strings.Join(ours, ", ")+" was expected")
	}
	c.lines[block] = key.Line
	if value.Kind != yaml.MappingNode {
		return nil, c.mistake(block, "a block with the keys "+strings.Join(ours, ", ")+" was expected")
	}
	if err := c.readBlock(value); err != nil {
		return nil, err
	}
	if c.Enabled && c.LoRAModel == "" {
		return nil, c.mistake(block+".lora_model", "this key is missing; a bundle's directory or the id of a pulled bundle was expected")
	}
	return c, nil
}

func (c *Config) readBlock(values *yaml.Node) error {
	if err := c.onceEach(values, block+".", slices.Concat(ours, others)...); err != nil {
		return err
	}
	for i := 0; i < len(values.Content); i += 2 {
		key, value := values.Content[i], resolve(values.Content[i+1])
		name := block + "." + key.Value
		c.lines[name] = key.Line
		var err error
		switch key.Value {
		case "enabled":
			if value.Tag != "!!bool" || value.Decode(&c.Enabled) != nil {
				err = c.mistake(name, shown(value)+" was found; true or false was expected")
			}
		case "backend_type":
			c.BackendType = value.Value
			if !slices.Contains(Backends, c.BackendType) {
				err = c.mistake(name, shown(value)+" was found; one of "+strings.Join(Backends, ", ")+" was expected")
			}
		case "similarity_threshold":
			err = c.readThreshold(name, value)
		case "lora_model":
			c.LoRAModel = value.Value
			if value.Tag != "!!str" || c.LoRAModel == "" {
				err = c.mistake(name, shown(value)+" was found; a bundle's directory or the id of a pulled bundle was expected")
			}
		default:
			if !slices.Contains(others, key.Value) {
				err = c.mistake(name, "this key is not known; expected are "+strings.Join(ours, ", ")+", and the router's "+strings.Join(others, ", "))
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *Config) readThreshold(name string, value *yaml.Node) error {
	number, err := strconv.ParseFloat(value.Value, 32)
	// The comparison is written so that NaN fails it.
	if (value.Tag != "!!float" && value.Tag != "!!int") || err != nil || !(number > 0 && number <= 1) {
		return c.mistake(name, shown(value)+" was found; a number above 0 and up to 1 was expected")
	}
	c.SimilarityThreshold = float32(number)
	return nil
}

// readBase reads the base model, which routers name in a block of its own.
func (c *Config) readBase(model *yaml.Node) error {
	if model == nil || model.Kind != yaml.MappingNode {
		return nil
	}
	if err := c.onceEach(model, "bert_model.", "model_id"); err != nil {
		return err
	}
	key, value := entry(model, "model_id")
	if key == nil {
		return nil
	}
	const name = "bert_model.model_id"
	c.lines[name] = key.Line
	if value.Tag != "!!str" {
		return c.mistake(name, shown(value)+" was found; the id or directory of a model was expected")
	}
	c.Base = value.Value
	return nil
}

// mistake returns a ConfigError at key, or at the nearest key above it that the file has.
func (c *Config) mistake(key, problem string) *ConfigError {
	line := 1
	for above := key; above != ""; {
		if found := c.lines[above]; found != 0 {
			line = found
			break
		}
		above = above[:max(0, strings.LastIndexByte(above, '.'))]
	}
	return &ConfigError{File: c.file, Line: line, Key: key, Problem: problem}
}

// onceEach fails if one of the keys stands in a mapping twice: a file with two of them means one thing to who reads
// its beginning and another to who reads its end. above is what goes before their names in a mistake.
func (c *Config) onceEach(mapping *yaml.Node, above string, keys ...string) error {
	first := map[string]int{}
	for i := 0; i < len(mapping.Content); i += 2 {
		key := mapping.Content[i]
		if !slices.Contains(keys, key.Value) {
			continue
		}
		if line, again := first[key.Value]; again {
			c.lines[above+key.Value] = key.Line
			return c.mistake(above+key.Value, fmt.Sprintf("this key stands in line %d already; once was expected", line))
		}
		first[key.Value] = key.Line
	}
	return nil
}

// entry returns a key of a mapping and its value, or nil.
func entry(mapping *yaml.Node, name string) (key, value *yaml.Node) {
	for i := 0; i < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == name {
			return mapping.Content[i], resolve(mapping.Content[i+1])
		}
	}
	return nil, nil
}

func find(mapping *yaml.Node, name string) *yaml.Node {
	_, value := entry(mapping, name)
	return value
}

// resolve follows an alias to what it stands for.
func resolve(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

func shown(value *yaml.Node) string {
	switch value.Kind {
	case yaml.MappingNode:
		return "a block"
	case yaml.SequenceNode:
		return "a list"
	}
	if value.Tag == "!!null" {
		return "nothing"
	}
	if value.Tag == "!!str" {
		return "the text " + strconv.Quote(value.Value)
	}
	return value.Value
}
