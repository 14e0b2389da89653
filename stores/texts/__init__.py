"""The LanceDB tables of texts, users and topics: written, read, cached, forgotten."""
