"""Redis in front of the views: filled under leases, stamped with positions, invalidated by projectors."""
