package gateway

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/memstore"
)

// pains.md 19: every call that costs a round trip is measured. The others only listen to what comes anyway.
func TestEveryStoreCallIsMeasured(t *testing.T) {
	g := newReplica(t, nil)
	store := session.Store(&observedStore{Store: memstore.New(), tracing: g.tracing, metrics: newMetrics()})
	calls := reflect.TypeFor[session.Store]()
	for i := range calls.NumMethod() {
		name := calls.Method(i).Name
		if slices.Contains([]string{"Watch", "Follow", "HeardAt"}, name) {
			continue
		}
		metrics := newMetrics()
		store.(*observedStore).metrics = metrics
		method := reflect.ValueOf(store).MethodByName(name)
		arguments := []reflect.Value{reflect.ValueOf(context.Background())}
		for n := 1; n < method.Type().NumIn() && !method.Type().IsVariadic(); n++ {
			arguments = append(arguments, reflect.Zero(method.Type().In(n)))
		}
		method.Call(arguments)
		families, err := metrics.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		measured := ""
		for _, family := range families {
			if family.GetName() == "cloakroom_store_seconds" {
				measured = family.GetMetric()[0].GetLabel()[0].GetValue()
			}
		}
		if strings.ReplaceAll(measured, "_", "") != strings.ToLower(name) {
			t.Errorf("a call of %s is measured as %q", name, measured)
		}
	}
}
