"""The ledger and the blobs: the state that survives a restart. It holds every query of the project.

``database`` connects, ``migrate`` brings the schema up to date, ``ledger/`` holds the queries, ``blobs/`` the pictures,
``records`` the values that both return, ``errors`` the errors that both raise. Sync SQLAlchemy Core, short explicit
transactions.
"""
