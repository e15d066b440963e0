package morango

import (
	"crypto/rand"
	"errors"
	"strings"

	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/model"
)

// RecordID is what a new row must carry.
type RecordID struct {
	ID        string `json:"id"`
	SourceID  string `json:"source_id"`
	Partition string `json:"partition"`
}

// NewRecordID computes what a new row of the model must carry, from the columns that
// its source id and partition are made of; a column that is missing is null. Where
// the model's source id is random it is fresh at each call. The formula: source id and
// partition by the profile's rules; id = the first 32 hex digits of
// SHA-256(partition + "::" + source id + "::" + model name), in which the partition
// still has "${id}" where the id itself belongs, which is filled in afterwards.
func NewRecordID(m *model.Model, columns map[string]string) (RecordID, error) {
	get := func(column string) (string, bool) { v, ok := columns[column]; return v, ok }
	var randomErr error
	source, err := m.SourceIDOf(get, func() string {
		id, err := ident.New(rand.Reader)
		randomErr = err
		return id
	})
	if err = errors.Join(err, randomErr); err != nil {
		return RecordID{}, err
	}
	template, err := m.PartitionOf(get)
	if err != nil {
		return RecordID{}, err
	}
	id := m.IDOf(template, source)
	return RecordID{ID: id, SourceID: source, Partition: strings.ReplaceAll(template, ident.Placeholder, id)}, nil
}
