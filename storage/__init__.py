"""The ledger and the blobs: the state that survives a restart. Every query of the project stands here.

``database`` connects, ``migrate`` brings the schema up to date, ``ledger/`` holds the queries, ``blobs/`` the pictures,
``records`` what both hand out, ``errors`` what they refuse. Sync SQLAlchemy Core, short explicit transactions.
"""
