package chatcache

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	cachelora "github.com/cachelora/cachelora/native/go"
)

// Redis is an Index in a Redis server, which several proxies can share. Each scope is one vector set, each
// answer a hash that Redis forgets after its lifetime. Vector sets are part of Redis since version 8.
type Redis struct {
	client    redis.UniversalClient
	namespace string
	limit     int64
	lifetime  time.Duration
}

// NewRedis returns an Index whose keys all begin with "cachelora:" and namespace, which must be the bundle's
// fingerprint: vectors of two fingerprints must never meet. A scope holds at most limit entries; a random one
// makes room. It fails if the server can't be reached or has no vector sets.
func NewRedis(ctx context.Context, client redis.UniversalClient, namespace string, limit int, lifetime time.Duration) (*Redis, error) {
	x := &Redis{client, namespace, int64(limit), lifetime}
	if err := client.VCard(ctx, x.setKey("none")).Err(); err != nil && !errors.Is(err, redis.Nil) {
		if strings.Contains(err.Error(), "unknown command") {
			return nil, fmt.Errorf("redis: the server has no vector sets, which came with Redis 8; use a newer server, or the index in memory: %w", err)
		}
		return nil, fmt.Errorf("redis: %w", err)
	}
	return x, nil
}

func (x *Redis) setKey(scope string) string { return "cachelora:" + x.namespace + ":set:" + scope }

func (x *Redis) answerKey(scope, id string) string {
	return "cachelora:" + x.namespace + ":answer:" + scope + ":" + id
}

// Nearest is that of Index. Redis finds the candidates; which is nearest, and how near, is then computed from
// their full vectors as everywhere else.
func (x *Redis) Nearest(ctx context.Context, scope string, vector []float32) (Entry, float32, bool, error) {
	// More than one, because answers whose lifetime is over leave their vectors behind.
	const candidates = 8
	for {
		ids, err := x.client.VSimWithArgs(ctx, x.setKey(scope), &redis.VectorFP32{Val: toBytes(vector)},
			&redis.VSimArgs{Count: candidates}).Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return Entry{}, 0, false, fmt.Errorf("redis: %w", err)
		}
		var best Entry
		similarity, found, gone := float32(-2), false, 0
		for _, id := range ids {
			fields, err := x.client.HGetAll(ctx, x.answerKey(scope, id)).Result()
			if err != nil {
				return Entry{}, 0, false, fmt.Errorf("redis: %w", err)
			}
			entry, err := toEntry(fields)
			if err != nil || len(entry.Vector) != len(vector) {
				gone++
				if err := x.client.VRem(ctx, x.setKey(scope), id).Err(); err != nil {
					return Entry{}, 0, false, fmt.Errorf("redis: %w", err)
				}
				continue
			}
			if near := cachelora.Similarity(vector, entry.Vector); near > similarity {
				best, similarity, found = entry, near, true
			}
		}
		if found {
			return best, similarity, true, nil
		}
		if gone == 0 {
			return Entry{}, 0, false, nil
		}
	}
}

// Add is that of Index.
func (x *Redis) Add(ctx context.Context, scope string, entry Entry) error {
	hash := sha256.Sum256([]byte(entry.Question))
	id := hex.EncodeToString(hash[:16])
	vector := toBytes(entry.Vector)
	// The answer first: a vector without an answer would be taken for one whose lifetime is over.
	_, err := x.client.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.HSet(ctx, x.answerKey(scope, id), "question", entry.Question, "vector", vector,
			"type", entry.ContentType, "body", entry.Body, "stored", entry.Stored.UnixMilli())
		pipe.PExpire(ctx, x.answerKey(scope, id), x.lifetime)
		pipe.VAddWithArgs(ctx, x.setKey(scope), id, &redis.VectorFP32{Val: vector}, &redis.VAddArgs{NoQuant: true})
		pipe.PExpire(ctx, x.setKey(scope), x.lifetime)
		return nil
	})
	if err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	for {
		count, err := x.client.VCard(ctx, x.setKey(scope)).Result()
		if err != nil {
			return fmt.Errorf("redis: %w", err)
		}
		if count <= x.limit {
			return nil
		}
		leaving, err := x.client.VRandMember(ctx, x.setKey(scope)).Result()
		if err != nil {
			return fmt.Errorf("redis: %w", err)
		}
		if err := x.client.VRem(ctx, x.setKey(scope), leaving).Err(); err != nil {
			return fmt.Errorf("redis: %w", err)
		}
		if err := x.client.Del(ctx, x.answerKey(scope, leaving)).Err(); err != nil {
			return fmt.Errorf("redis: %w", err)
		}
	}
}

func toEntry(fields map[string]string) (Entry, error) {
	if len(fields) == 0 {
		return Entry{}, redis.Nil
	}
	var stored int64
	if _, err := fmt.Sscan(fields["stored"], &stored); err != nil {
		return Entry{}, err
	}
	return Entry{
		Question:    fields["question"],
		Vector:      toVector(fields["vector"]),
		ContentType: fields["type"],
		Body:        []byte(fields["body"]),
		Stored:      time.UnixMilli(stored),
	}, nil
}

// toBytes writes a vector as Redis reads it: float32, little endian.
func toBytes(vector []float32) []byte {
	bytes := make([]byte, 0, 4*len(vector))
	for _, x := range vector {
		bytes = binary.LittleEndian.AppendUint32(bytes, math.Float32bits(x))
	}
	return bytes
}

func toVector(bytes string) []float32 {
	vector := make([]float32, len(bytes)/4)
	for i := range vector {
		vector[i] = math.Float32frombits(binary.LittleEndian.Uint32([]byte(bytes[4*i : 4*i+4])))
	}
	return vector
}
