package stream

// Versions is a query, for the test of its plan.
const Versions = versionsOf
