// Package convert reads tar archives, also compressed ones, and zip archives.
// The bytes of their files go into one spool file, one after the other, and the
// entries are listed: nothing is ever written under a name from an archive.
//
// The list is raw. Names may be absolute, have "..", or come twice, and links may
// lead anywhere: the caller that makes a tree has to check that. Refused here is
// only what cannot be read: a broken or encrypted archive, one that continues
// after its end, and one that unpacks to more than its limits.
//
// Archives are converted where they are published. No instance reads them.
package convert
