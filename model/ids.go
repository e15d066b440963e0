package model

import (
	"errors"
	"fmt"
	"strings"

	"github.com/morango-go/morango/ident"
)

// ErrRootCertificate tells that the row's source id is the id of a root
// certificate that must be created first.
var ErrRootCertificate = errors.New("the source id is the id of a new root certificate: create one and set it")

// PartitionOf returns the row's partition by the first rule whose condition
// holds, with ident.Placeholder still inside where the row's own id belongs.
// get reads a column of the row as text, ids as 32 hex digits, numbers in
// decimal; false stands for null. A null in a hole is an error.
func (m *Model) PartitionOf(get func(column string) (string, bool)) (string, error) {
	for _, rule := range m.Partition {
		if rule.WhenNull != "" {
			if _, set := get(rule.WhenNull); set {
				continue
			}
		}
		partition, err := expand(rule.Template, get)
		if err != nil {
			return "", fmt.Errorf("partition of a row of model %s: %w; give the row a value, or the model a rule for null", m.Name, err)
		}
		return partition, nil
	}
	return "", fmt.Errorf("partition of a row of model %s: no rule applies; add one without a condition", m.Name)
}

// SourceIDOf returns the row's source id: the one it has, else by the model's
// rule. get reads a column as in PartitionOf; random gives a fresh id of 32 hex
// digits and is asked only where the rule needs one. The error is
// ErrRootCertificate where only a new root certificate gives the id.
func (m *Model) SourceIDOf(get func(column string) (string, bool), random func() string) (string, error) {
	if present, ok := get(ColumnSourceID); ok && present != "" {
		return present, nil
	}
	id, err := m.newSourceID(get, random)
	if err != nil {
		return "", fmt.Errorf("source id of a row of model %s: %w", m.Name, err)
	}
	if id == "" {
		return "", fmt.Errorf("source id of a row of model %s: the rule gives an empty text; fill the columns it is made of", m.Name)
	}
	return id, nil
}

// newSourceID applies the model's rule, whatever the row has already.
func (m *Model) newSourceID(get func(column string) (string, bool), random func() string) (string, error) {
	switch m.Source.Kind {
	case SourceRandom:
		return random(), nil
	case SourceTemplate:
		return expand(m.Source.Text, get)
	case SourceColumn, SourceUUID5:
		value, ok := get(m.Source.Text)
		if !ok {
			return "", fmt.Errorf("column %s is null", m.Source.Text)
		}
		if m.Source.Kind == SourceColumn {
			return value, nil
		}
		return ident.UUID5(m.Source.Namespace, value)
	case SourceRootCertificate:
		return "", ErrRootCertificate
	default:
		return "", fmt.Errorf("unknown rule %q", m.Source.Kind)
	}
}

// IDOf returns the id of a row with that source id; partition still holds
// ident.Placeholder where the row's own id belongs.
func (m *Model) IDOf(partition, sourceID string) string {
	if m.IDIsSource {
		return sourceID
	}
	return ident.Record(partition, sourceID, m.Name)
}

// CheckID tells whether id is the one that partition and source id give, and so whether
// the record can be no other's: an id that is a hash binds the partition, one that is the
// source id does not, and such a model's template does. partition is as stored: the own
// id stands in place of the placeholder.
func (m *Model) CheckID(id, partition, sourceID string) error {
	if id == "" {
		return fmt.Errorf("a record of model %s has no id", m.Name)
	}
	want := m.IDOf(strings.ReplaceAll(partition, id, ident.Placeholder), sourceID)
	if id != want {
		return fmt.Errorf("record %s of model %s: partition and source id give the id %s", id, m.Name, want)
	}
	if place := m.ownPartition(id); m.IDIsSource && partition != place {
		return fmt.Errorf("record %s of model %s: its partition must be %s", id, m.Name, place)
	}
	return nil
}

// ownPartition is the only partition of a record whose id is its source id: Validate sees
// to it that the one rule has no hole but ${id}.
func (m *Model) ownPartition(id string) string {
	if len(m.Partition) == 0 {
		return ""
	}
	return strings.ReplaceAll(m.Partition[0].Template, ident.Placeholder, id)
}
