// Package convert reads archives of the kinds that people have: tar, also
// compressed, and zip. Their files go into one spool, one after the other, and
// what the archive says of them is listed: nothing is ever written under a name
// that an archive gives.
//
// The list is raw. Names may be absolute, lead upwards or come twice, and links
// lead anywhere: the maker of a tree has to check that. What is refused
// here is what cannot be read: a broken or encrypted archive, one that continues
// after its end, and one that unpacks to more than its limits.
//
// Archives are converted where they are published. No instance reads them.
package convert
