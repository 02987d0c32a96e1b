// Package portable reads and writes portable-json/1, the encoding in which graphs of every language keep their state.
//
// Decode gives plain Go values: nil, bool, string, int64 (*big.Int where it does not fit), float64, []byte, time.Time,
// time.Duration, []any, *Object, *Map, *Set; and what LangGraph and LangChain have types for: *Message, *Document,
// *Send, *Interrupt, *Command, *Overwrite, *DeltaSnapshot, *Error. What Go has no form for, such as an object of a
// Python class or a tag of a later version, is a Tagged, which Encode writes again as it came. Encode takes all of these,
// the other kinds of numbers, and slices and maps with string keys of any of them.
//
// The specification and the vectors that the tests read are in protos/portable-json of checkpointd. Nothing in the data
// names anything to be looked up or run.
package portable
