package main

import "os"

// ballastSize is in bytes. A collection is due when the heap has doubled: with the few megabytes that a gateway holds that
// would be many times a second, and a fifth of the processor's work. With this it is due after 64 MiB and more.
const ballastSize = 32 << 20

// newBallast returns memory that nobody ever touches, so that the system never has to provide it, but the garbage
// collector counts it as long as the caller keeps it alive. Whoever tunes the collector gets none.
func newBallast() []byte {
	for _, name := range []string{"GOGC", "GOMEMLIMIT"} {
		if _, set := os.LookupEnv(name); set {
			return nil
		}
	}
	return make([]byte, ballastSize)
}
