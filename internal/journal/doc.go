// Package journal is Drover's memory: an append-only file of JSON lines that is
// state, audit and history at once.
//
// # What it promises
//
// An entry whose Append returned nil is on disk and survives a kill, a power
// loss and a rotation. What Append did not acknowledge may be there or not, but
// never in part and never in front of something acknowledged. Whoever opens the
// journal learns what was found out of order (Recovery); nothing is repaired
// silently, and nothing that could not be read is thrown away.
//
// # What a line looks like
//
//	{"v":1,"seq":7,"time":"…","prev":"<hash of line 6>","target":"gf-chat/parrot-rest","type":"decision","data":{…},"hash":"…"}
//
// The hash is the SHA-256 of the line without its hash member, so a person can
// check one with nothing but a shell:
//
//	sed -n 7p journal.jsonl | sed 's/,"hash":"[0-9a-f]*"}$/}/' | tr -d '\n' | sha256sum
//
// Each line names the hash of the line before it, also across rotated files.
// The chain finds damage and careless edits; it is no signature, since whoever
// can write the file can compute it anew.
//
// # Files in the state directory
//
//	journal.jsonl                 the active file: replaying it gives the whole state
//	journal-<seq>.jsonl           rotated files, named by their first line: history
//	journal.jsonl.corrupt-<time>  a file with damage in the middle, kept as it was
//	journal.jsonl.new             a file being written; worthless until it is renamed
//	journal.try                   written and removed to see whether the disk takes it
//	journal.lock                  held by the one process that may write
//
// # The order of things
//
// Append writes the lines in one write and syncs before it returns; the caller
// acts only then. Rotate writes and syncs the new file, gives the old one its
// second name by a hard link, syncs the directory, renames the new file over the
// active name, and syncs the directory again. At every instant the active name
// is a complete journal. After a write or a sync that failed nothing is known
// about the page cache (a second fsync may report success for pages that were
// dropped), so the journal is failed until Reopen has read the file again.
//
// The package knows nothing of rollouts: an entry is a target, a type and data.
package journal
