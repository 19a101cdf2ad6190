package dynamodb

// consumed adds what a request consumed to its answer, where that was asked for.
func consumed(out map[string]any, t *table, asked string, units float64) error {
	capacity := map[string]any{"TableName": t.name, "CapacityUnits": units}
	switch asked {
	case "", "NONE":
		return nil
	case "TOTAL":
	case "INDEXES":
		capacity["Table"] = map[string]any{"CapacityUnits": units}
	default:
		return invalid("ReturnConsumedCapacity %q, want INDEXES, TOTAL or NONE", asked)
	}
	out["ConsumedCapacity"] = capacity
	return nil
}

// readUnits are one for each 4 KiB, at least one, and half of that where the read need
// not be consistent.
func readUnits(size int, consistent bool) float64 {
	units := float64(max(1, (size+4<<10-1)/(4<<10)))
	if !consistent {
		units /= 2
	}
	return units
}

// writeUnits are one for each KiB, at least one.
func writeUnits(size int) float64 { return float64(max(1, (size+1<<10-1)/(1<<10))) }
