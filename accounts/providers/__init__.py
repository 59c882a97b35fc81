"""Sign-in by somebody else's word: a provider of OpenID Connect, or a directory (LDAP)."""
