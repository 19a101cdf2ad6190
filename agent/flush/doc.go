// Package flush finds out when a log shipper has delivered everything that the
// app had written before it was stopped.
//
// Read is not delivered: most shippers remember how far they have read, and send
// later. So the proof has three parts. The app has stopped; then the sizes of its
// files are taken, each file told from others by device and inode, never by its
// name; then the shipper itself reports, later than that, that everything up to
// there was accepted by the other side. Where numbers are the proof instead of
// offsets, two looks must agree.
//
// An [Answer] is done, left, lost or unknown, and never a guess. What shippers
// leave on the disk or answer over HTTP is untrusted: it is bounded, links are not
// followed, and parsers are pure functions. The package changes nothing, sends
// nothing and logs nothing; commands are run by the caller.
package flush
