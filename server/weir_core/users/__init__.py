"""People and programs: who may call, with what credentials, and what each may do."""
