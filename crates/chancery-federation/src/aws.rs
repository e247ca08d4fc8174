//! AWS IAM and STS: claims, trust policies and their evaluation.
