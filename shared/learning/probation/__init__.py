"""Probation after a swap: does the model decide as the gate foretold?"""
