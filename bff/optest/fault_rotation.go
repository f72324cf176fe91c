package optest

// When keys change.
var (
	// RotateBeforeSigning makes new keys just before each ID token is signed with one of them (DIS-12).
	RotateBeforeSigning = Fault{name: "keys rotated before signing", beforeIDToken: (*OP).RotateKeys}
	// ReplaceBeforeSigning does so too and publishes the old ones no longer (DIS-12, DIS-13).
	ReplaceBeforeSigning = Fault{name: "keys replaced before signing", beforeIDToken: func(op *OP) error {
		err := op.RotateKeys()
		op.RetireKeys()
		return err
	}}
)
