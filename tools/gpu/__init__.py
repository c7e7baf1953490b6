"""A training in one piece on a rented GPU: pack here, train there, bring the weights back."""
