"""The whole platform on one machine, from wheels: no root, no package manager, no containers.

Our code prepares (secrets, data directories, roles, buckets, configuration) and probes; the
processes themselves are run by supervisord.
"""
