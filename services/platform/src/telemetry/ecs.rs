//! Log lines as JSON objects in the Elastic Common Schema.
