"""Probation after a swap: does the model do what the gate foretold?"""
