// Package sessiontest proves that a [session.Store] keeps its contract: call [Run] from the store's own tests. It also
// starts real Redis servers for the tests of other packages, see [Redis], [Sentinels] and [Cluster].
package sessiontest
