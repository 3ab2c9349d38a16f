//! Customers: applications and what is set for them (`v1.application`).
