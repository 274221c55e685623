//! Tests of the protocol: forms, inputs, answers.
