//! Services that fail, and files that lie.

mod faults;
mod hostile;
mod pages;
mod shapes;
mod under;
