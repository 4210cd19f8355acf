"""Tables from elsewhere, read row by row: valid rows are kept, invalid ones are refused by name."""
